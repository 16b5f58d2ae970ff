// A zombie: green and grey blotched skin, sunken eyes, a wound on the left cheek, blood below the mouth.
#define TEETH_COLOUR vec3(.55, .47, .27)
#define TONGUE_COLOUR vec3(.2, .1, .12)

#define STYLE_HAIR_COLOUR
vec3 style_hair_colour(vec3 natural) { return mix(natural, vec3(.10, .09, .07), .7); }

#define STYLE_WRINKLES
float style_wrinkles(float natural) { return max(natural, .8); }

#define STYLE_EYE
void style_eye(inout EyeColours colours, float angle, float from_pupil) {
    colours.iris = vec3(.42, .44, .36);
    float bloodshot = ramp(.5, .7, noise(vec3(angle * 7., from_pupil * 2., 1.)));
    colours.white = mix(vec3(.60, .56, .40), vec3(.45, .08, .05), .5 * bloodshot);
    colours.pupil = .15;
}

vec3 rotten(Face f, float patches) {
    vec3 c = canonical;
    vec3 green = vec3(.30, .36, .23) * (1. - .45 * head.melanin), grey = vec3(.20, .23, .20) * (1. - .4 * head.melanin);
    vec3 albedo = mix(green, grey, ramp(.35, .65, cloud(c * 38. + 9.)));
    albedo = mix(albedo, vec3(.15, .10, .13), .75 * ramp(.53, .66, patches));
    albedo = mix(albedo, vec3(.10, .08, .13), .5 * ramp(.90, .98, veins(c * 55. + 31.)));
    return mix(albedo, vec3(.07, .035, .05), clamp(f.socket * 1.15, 0., 1.) * .85);
}

void add_wounds(inout Surface s, Face f, float patches) {
    vec3 c = canonical, from_wound = c - vec3(.045, -.035, .075);
    float edge = ramp(.62, .5, length(from_wound / vec3(.020, .026, .04)) + .9 * (patches - .5));
    float flesh = ramp(.8, .5, length(from_wound / vec3(.012, .014, .04)) + 1.2 * (f.grain - .5));
    s.albedo = mix(s.albedo, vec3(.22, .02, .015) * (.5 + f.grain), edge);
    s.albedo = mix(s.albedo, vec3(.12, .006, .006), flesh);
    float dripping = ramp(.55, .70, noise(vec3(c.x * 260., c.y * 40., 1.)))
        * ramp(-.062, -.075, c.y) * ramp(-.12, -.085, c.y) * ramp(.028, .02, f.side) * f.front;
    s.albedo = mix(s.albedo, vec3(.17, .008, .008), dripping * .9);
}

#define STYLE_SKIN_PAINT
void style_skin_paint(inout Surface s, Face f, Paint p) {
    vec3 c = canonical, hair = style_hair_colour(head.hair_colour);
    float patches = cloud(c * 110. + 2.);
    s.albedo = mix(rotten(f, patches), vec3(.11, .055, .06), p.lips * .9);
    add_wounds(s, f, patches);
    s.albedo = mix(s.albedo, hair * .5, p.brow * .5);
    s.albedo = mix(s.albedo, hair * .6, ramp(.0, .012, p.above_hairline) * step(.5, head.scalp_hair) * .7);
    s.specular = .35;
    s.gloss = 10.;
    s.wrap = vec3(.1, .16, .08);
    s.openness *= 1. - .35 * f.socket;
    s.normal = normalize(s.normal + .35 * (vec3(patches, cloud(c * 110. + 33.), cloud(c * 110. + 66.)) - .5));
}

#define STYLE_CLOTH
vec3 style_cloth(vec3 cloth, float rib) {
    return mix(cloth * .4 + vec3(.03, .03, .02), vec3(.05, .012, .008), ramp(.5, .65, cloud(canonical * 60.)));
}

#define STYLE_FINISH
vec3 style_finish(Surface s) { return developed((lit(s) + s.emission) * vec3(.92, 1.0, .90)); }
