// A marble bust: one stone for everything, brows and pupils carved into it.
#define SKIN_INSIDE vec3(.45, .45, .44)
#define EYE_SHINE 0.

#define STYLE_HAIR_COLOUR
vec3 style_hair_colour(vec3 natural) { return mix(natural, vec3(.06, .04, .03), .55); }

#define STYLE_EYE_FINISH
void style_eye_finish(inout Surface s, float from_pupil, float pupil, float limbus) {
    s.openness *= (1. - .25 * limbus) * (1. - .35 * pupil);
    s.ink = bell(from_pupil - .95, .13) * .35 + ramp(.5, .35, from_pupil) * .55;  // how deep it is carved
}

vec3 marble() {
    vec3 c = canonical;
    float broad = ramp(.86, .99, veins(c * 16. + vec3(0, 3, 1))), thin = ramp(.9, 1., veins(c * 34. + 9.));
    return vec3(.56, .555, .535) * (1. - .16 * broad - .06 * thin) * (.95 + .1 * cloud(c * 90.));
}

// Brightness of a strand against the colour of the hair.
float strand_contrast(Surface s) {
    return luma(s.albedo) / max(luma(style_hair_colour(head.hair_colour)), .01);
}

void carve_brows(inout Surface s) {
    vec3 c = canonical;
    float side = abs(c.x), along = along_brow(side);
    float above = c.y - (.0225 + .009 * brow_curve(along) - .003 * along * along);
    s.normal.y += .55 * above / .005 * bell(above, .005) * step(.011, side) * step(side, .053) * ramp(.03, .06, c.z);
    s.normal = normalize(s.normal);
}

#define STYLE_FINISH
vec3 style_finish(Surface s) {
    vec3 stone = marble();
#if defined(MATERIAL_SKIN)
    stone *= 1. - .07 * ramp(.2, .6, detail_a.x);  // the lips
    carve_brows(s);
#elif defined(MATERIAL_HAIR)
    stone *= .86 + .25 * (strand_contrast(s) - .9) * .6;
#elif defined(MATERIAL_BEARD)
    stone *= .8 + .3 * (strand_contrast(s) - .5);
#elif defined(MATERIAL_MOUTH) || defined(MATERIAL_TONGUE)
    stone *= .55;
#elif defined(MATERIAL_EYE)
    stone *= 1. - s.ink;
#elif defined(MATERIAL_GLASSES)
    stone *= .8;
#endif
    s.albedo = stone;
    s.openness *= mix(1., s.openness, .8) * .92;
    s.wrap = vec3(.10);
    s.specular = .45;
    s.gloss = 22.;
    s.softness = 0.;
    float towards_key = dot(s.normal, key_light());
    return developed(lit(s) * (.62 + .50 * ramp(-.3, .9, towards_key)));
}
