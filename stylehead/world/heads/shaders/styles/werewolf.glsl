// A werewolf: dark skin under the fur, a black nose, glowing yellow eyes. Hair keeps the person's colour.
#define EYE_GLOW .25
#define TEETH_COLOUR vec3(.55, .47, .27)

#define STYLE_EYE
void style_eye(inout EyeColours colours, float angle, float from_pupil) {
    colours.iris = vec3(.85, .55, .02);
    colours.white = vec3(.55, .42, .12);
}

#define STYLE_SKIN_PAINT
void style_skin_paint(inout Surface s, Face f, Paint p) {
    vec3 c = canonical, hair = head.hair_colour;
    vec3 short_fur = (hair * .7 + vec3(.035, .022, .014)) * (.6 + .8 * noise(vec3(c.x * 600., c.y * 150., c.z * 400.)));
    s.albedo = mix(s.albedo, short_fur, .9);
    s.albedo = mix(s.albedo, hair * .8 + vec3(.012, .008, .005), ramp(.2, .7, 1. - f.socket) * .5);
    float nose = ramp(.020, .013, length(c - vec3(0, -.036, .118)));
    s.albedo = mix(s.albedo, vec3(.012), nose);
    if (nose > .5) {
        s.specular = .9;
        s.gloss = 30.;
    }
    s.albedo = mix(s.albedo, vec3(.035, .015, .014), p.lips);
    s.albedo = mix(s.albedo, vec3(.02, .012, .01), ramp(.3, 1., f.socket) * .75);
    s.specular *= .7;
}

#define STYLE_CLOTH
vec3 style_cloth(vec3 cloth, float rib) { return cloth * .6; }
