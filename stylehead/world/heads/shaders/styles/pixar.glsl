// A character from an animated film: clean saturated skin, soft light, big eyes with two highlights.
#define PORES 0.
#define EYE_SHADOW .55
#define BROW_OPACITY .95
#define STRAND_RELIEF .35
#define IRIS_RADIUS .0105

#define STYLE_HAIR_COLOUR
vec3 style_hair_colour(vec3 natural) { return pow(natural, vec3(.85)) * vec3(1.15, 1.05, 1.); }

#define STYLE_STRAND_SHADE
float style_strand_shade(float strand) { return .75 + .45 * strand; }

#define STYLE_PIGMENTS
void style_pigments(inout float melanin, inout float blood, Face f, float ear) {
    melanin = head.melanin;
    blood = head.haemoglobin * .9 + .55 * f.cheek + .3 * f.nose_tip + .3 * ear;
}

#define STYLE_SKIN_TONE
vec3 style_skin_tone(vec3 albedo) { return max(mix(vec3(luma(albedo)), albedo, 1.15), 0.); }

#define STYLE_SKIN_LIGHT
void style_skin_light(inout Surface s) {
    s.wrap = vec3(.5, .32, .28);
    s.specular = .35;
    s.gloss = 12.;
    s.softness = 1.;
    s.openness = mix(1., s.openness, .8);
}

#define STYLE_WRINKLES
float style_wrinkles(float natural) { return natural * .25; }

#define STYLE_STUBBLE
float style_stubble(float dots) { return .6; }

#define STYLE_EYE
void style_eye(inout EyeColours colours, float angle, float from_pupil) {
    colours.iris = colours.iris * 1.5 + .015;
    colours.white = vec3(.86);
    colours.veins = 0.;
}

#define STYLE_EYE_HIGHLIGHT
float style_eye_highlight(vec3 c) {
    return ramp(.970, .982, dot(c, normalize(vec3(.22, .30, .93))))
        + .6 * ramp(.993, .997, dot(c, normalize(vec3(-.16, -.14, .97))));
}

#define STYLE_CLOTH
vec3 style_cloth(vec3 cloth, float rib) { return pow(cloth, vec3(.85)) * 1.1; }

#define STYLE_FINISH
vec3 style_finish(Surface s) { return developed((lit(s) + s.emission) * 1.06); }
