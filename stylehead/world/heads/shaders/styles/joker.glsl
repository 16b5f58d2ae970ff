// The joker: white paint with black eyes and a red grin, green hair, purple clothes.
#define TEETH_COLOUR vec3(.75, .68, .45)

#define STYLE_HAIR_COLOUR
vec3 style_hair_colour(vec3 natural) { return vec3(.035, .24, .045); }

#define STYLE_EYE
void style_eye(inout EyeColours colours, float angle, float from_pupil) { colours.iris = vec3(.12, .28, .10); }

// Black around the eyes, and a tear line through each.
float black_paint(Face f, float blotch) {
    float y = canonical.y;
    float oval = length(vec2((f.side - .031) / .021, (y - .006) / (.0195 + .006 * (blotch - .5))));
    float tears = ramp(1.2, .7, abs(f.side - .031) / .006) * ramp(-.030, -.02, y) * ramp(.02, .0, y);
    return max(ramp(1.15, .75, oval + .25 * (blotch - .5)), tears * .9);
}

// A grin from cheek to cheek, wider than the mouth.
float red_paint(Face f, float blotch) {
    float curve = -.0695 + 18. * f.side * f.side * .75;
    float width = .0105 - .0075 * ramp(.02, .052, f.side);
    return ramp(1.1, .75, abs(canonical.y - curve) / width + .3 * (blotch - .5)) * ramp(.054, .050, f.side) * f.front;
}

#define STYLE_SKIN_PAINT
void style_skin_paint(inout Surface s, Face f, Paint p) {
    vec3 c = canonical;
    float blotch = cloud(c * 70. + 5.), uneven = blotch - .5;
    float painted = ramp(-.135, -.118, c.y + .012 * uneven) * ramp(.0, .022, c.z + .02 * uneven)
        * (1. - ramp(.3, .7, p.ear)) * (1. - ramp(-.004, .008, p.above_hairline) * step(.5, head.scalp_hair));
    s.albedo = mix(s.albedo, vec3(.80, .81, .79) * (.86 + .22 * blotch), painted * .95);
    s.albedo = mix(s.albedo, vec3(.012, .012, .016), black_paint(f, blotch) * painted * .96);
    s.albedo = mix(s.albedo, vec3(.02, .05, .02), p.brow * .9 * painted);
    s.albedo = mix(s.albedo, vec3(.46, .012, .02), max(red_paint(f, blotch), p.lips) * .95);
    s.specular = .25;
    s.wrap = vec3(.2, .18, .17);
}

#define STYLE_CLOTH
vec3 style_cloth(vec3 cloth, float rib) {
    vec3 purple = mix(vec3(.13, .03, .16), vec3(.16, .04, .20), noise(canonical * 300.));
    return rib > .5 ? vec3(.35, .16, .02) : purple;
}
