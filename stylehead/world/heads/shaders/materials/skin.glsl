// Skin, with everything that is painted on it: lips, brows, the roots of hair and beard.
#define lips_mask detail_a.x
#define above_hairline detail_a.y   // metres; negative on the face
#define baked_openness detail_a.z
#define beard_density detail_a.w
#define eyelid_mask detail_b.x
#define ear_mask detail_b.y
#include "creases.glsl"

// Blotches, blushing, freckles and age spots.
vec3 pigmented(Face f) {
    vec3 c = canonical;
    float blood = head.haemoglobin + .35 * f.cheek + .40 * f.nose_tip + .25 * ear_mask * 1.2
        + .5 * (f.mottle - .5) + .25 * f.socket * .6;
    float melanin = head.melanin * (1. + .18 * (f.mottle - .5) + .10 * (f.grain - .5))
        + .035 * f.socket * (.4 + head.wrinkles) + .03 * (f.grain - .5);
    float freckle = ramp(.60, .72, noise(c * 420.)) * ramp(.35, .6, cloud(c * 60. + 3.));
    melanin += head.freckles * .55 * freckle * (f.cheek + f.nose_tip + .25) * f.front;
    melanin += head.wrinkles * .10 * ramp(.62, .75, cloud(c * 95. + 20.));
    style_pigments(melanin, blood, f, ear_mask);
    return style_skin_tone(skin_tone(max(melanin, 0.), blood));
}

void paint_lips(inout Surface s, float lips) {
    float red = head.lip_colour;
    vec3 natural = skin_tone(head.melanin * .9 + .10, head.haemoglobin + 1.0 + .7 * red) * .96;
    float lipstick = clamp(red - .55, 0., .75) * step(.01, head.makeup);
    s.albedo = mix(s.albedo, mix(natural, vec3(.42, .03, .05), lipstick), lips * .85);
}

// How much a brow covers the skin, 0..1.
float find_brow(Face f) {
    float y = canonical.y, along = along_brow(f.side), arch = head.brow_arch;
    float middle = .0215 + .0015 * arch + (.0075 + .003 * arch) * brow_curve(along) - .003 * along * along;
    float taper = (1. - .62 * along) * ramp(-.02, .12, along) * ramp(1., .93, along);
    float width = (.0052 * taper + .0002) * (.55 + .75 * head.brow_thickness);
    float hairs = noise(vec3((f.side * .8 + y * .9) * 1500., y * 250., 3.));
    return ramp(1.25, .55, abs(y - middle) / width + .55 * (hairs - .5))
        * f.front * step(.0101, f.side) * step(f.side, .054);
}

vec3 brow_colour(vec3 hair) {
    vec3 colour = hair * .55 * mix(vec3(1), vec3(.8, .75, .7), .6);
    if (head.grey > .5) colour = mix(colour, vec3(.2, .19, .18), .5);
    return min(colour, skin_tone(head.melanin + .28, head.haemoglobin) * .75);
}

// Roots of the hair, and the shadow that it throws on the forehead.
void paint_scalp(inout Surface s, Face f, vec3 hair) {
    float scalp = ramp(-.004, .010, above_hairline + .006 * (f.grain - .5) * 2.);
    float cover = head.scalp_hair < .5 ? .0 : head.scalp_hair < 1.5 ? .80 : .93;
    float roots = noise(canonical * 900.);
    s.albedo = mix(s.albedo, hair * (.7 + .6 * roots) * .8, scalp * cover * (.75 + .25 * roots));
    if (scalp > .4) s.specular *= .4;
    s.openness *= 1. - .30 * step(1.5, head.scalp_hair) * bell(above_hairline + .002, .014) * (1. - scalp);
}

void paint_stubble(inout Surface s, Face f, vec3 hair) {
    float dots = style_stubble(ramp(.35, .75, noise(canonical * 1100.) + .25 * (f.grain - .5)));
    float cover = mix(.80, .50, head.shaved_beard);
    s.albedo = mix(s.albedo, hair * .75, beard_density * cover * (.35 + .5 * dots));
}

void material(inout Surface s) {
    Face f = find_face();
    vec3 hair = style_hair_colour(head.hair_colour);
    float lips = ramp(.25, .6, lips_mask), brow = find_brow(f);

    s.albedo = pigmented(f);
    paint_lips(s, lips);
    s.openness = skin_openness(baked_openness);
    s.wrap = vec3(.38, .18, .12);
    s.specular = lips > .5 ? .7 : .42 + .25 * f.nose_tip;
    s.gloss = lips > .5 ? 28. : 16.;
    style_skin_light(s);
    add_creases(s, f);

    float shadow = bell(f.eye_distance, .016) * f.front * ramp(.0, .006, canonical.y);
    s.albedo *= 1. - EYE_SHADOW * head.makeup * shadow;
    s.albedo *= 1. - .35 * ramp(.5, .9, eyelid_mask) * f.front;
    paint_scalp(s, f, hair);
    paint_stubble(s, f, hair);
    s.albedo = mix(s.albedo, brow_colour(hair), brow * BROW_OPACITY);
    s.ink = max(brow * .9, .28 * lips);
    style_skin_paint(s, f, Paint(lips, brow, above_hairline, ear_mask));
}
