// A beard: a patch of skin lifted by the length of the hair, most of it cut away between the strands.
#define baked_openness detail_a.z
#define density detail_a.w
#include "creases.glsl"

void material(inout Surface s) {
    vec3 c = canonical;
    float strand = noise(vec3(c.x * 900., c.y * 170., c.z * 900.));
    if (density + .5 * (strand - .5) < .16) discard;

    s.openness = skin_openness(baked_openness);
    style_skin_light(s);
    add_creases(s, find_face());
    s.openness = mix(1., s.openness, .7);
    s.albedo = style_hair_colour(head.hair_colour) * (.45 + .95 * strand) * .95;
    s.specular = .25;
    s.gloss = 14.;
    s.wrap = vec3(.25);
    vec3 ruffle = vec3(strand - .5, 0, noise(c * vec3(800, 150, 800) + 9.) - .5);
    s.normal = normalize(s.normal + .55 * ruffle);
}
