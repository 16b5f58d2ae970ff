// A werewolf's fur in two layers, and the ears of a wolf.
#define inside_ear detail_a.x
#define layer detail_a.y          // height in the fur, 0..1; 0.8 on the ears
#define baked_openness detail_a.z
#define density detail_a.w
#include "creases.glsl"

void material(inout Surface s) {
    vec3 c = canonical;
    float strand = noise(vec3(c.x * 700., c.y * 120. + c.z * 60., c.z * 600.));
    float tuft = noise(c * vec3(260, 60, 260));
    if (density + .7 * (strand - .5) < .45) discard;
    if (layer > .9 && strand < .42) discard;

    vec3 hair = style_hair_colour(head.hair_colour);
    vec3 fur = mix(hair * .6 + vec3(.018, .011, .006), hair * 1.6 + vec3(.085, .055, .033), strand * .6 + tuft * .5);
    if (inside_ear > .5 && abs(layer - .8) < .01) fur = vec3(.10, .045, .035) * (.6 + .6 * strand);
    float muzzle = ramp(-.05, -.10, c.y) * ramp(.06, .10, c.z);
    s.albedo = mix(fur, fur * 2.2 + .04, muzzle * .6);

    s.openness = skin_openness(baked_openness);
    add_creases(s, find_face());
    s.openness = mix(1., s.openness, .75) * (.6 + .5 * layer);
    s.specular = .2;
    s.gloss = 12.;
    s.wrap = vec3(.3);
    vec3 ruffle = vec3(strand - .5, .2 * (tuft - .5), noise(c * vec3(600, 110, 500) + 9.) - .5);
    s.normal = normalize(s.normal + .7 * ruffle);
}
