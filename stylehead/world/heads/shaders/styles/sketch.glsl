// A pencil sketch on white paper: ink lines at silhouettes and features, hatching in the shade.
#define SKIN_INSIDE vec3(.3)
#define EYE_SHINE 0.

// Hatching of three directions that come in as the tone gets darker; strokes are fixed in space.
float hatching(float tone) {
    vec3 p = world_position;
    float waver = .45 * noise(p * 7.) + .20 * noise(p * 40.);
    float first = abs(fract((p.x * .7 + p.y * .9 + p.z * .35) * 47.5 + waver) - .5) * 2.;
    float second = abs(fract((p.x * .9 - p.y * .6 - p.z * .55) * 47.5 + waver * 1.2) - .5) * 2.;
    float third = abs(fract((p.y * 1.1 + p.x * .15 + p.z * .2) * 57. + waver) - .5) * 2.;
    return max(max(ramp(.62, .40, tone) * ramp(.50, .30, first), ramp(.48, .28, tone) * ramp(.50, .30, second)),
        ramp(.34, .15, tone) * ramp(.5, .3, third));
}

// Strokes along the strands, more of them in dark hair; `along` is the way from the crown.
float hair_strokes(float along, float tone) {
    vec2 around = normalize(canonical.xz - vec2(0, -.005));
    float strokes = noise(vec3(around * 34., along * 10.)) * .55 + noise(vec3(around * 95., along * 18.)) * .45;
    float lightness = luma(pow(head.hair_colour, vec3(.45)));
    return ramp(.62, .40, strokes + (lightness - .35) * .45) * .85 + .25 * (1. - tone);
}

float silhouette(Surface s) {
    vec3 normal = smooth_normal / (length(smooth_normal) + 1e-5);
    return ramp(.36, .16, abs(dot(normal, s.view)));
}

#define STYLE_FINISH
vec3 style_finish(Surface s) {
    float tone = clamp(luma(developed(lit(s) + s.emission)), 0., 1.);
    float edge = silhouette(s), hatch = 0.;
#if defined(MATERIAL_HAIR)
    tone = mix(tone, .5, .2);
    s.ink = hair_strokes(detail_a.y, tone);
    edge *= .7;
#elif defined(MATERIAL_EYE) || defined(MATERIAL_LASHES)
    hatch = hatching(tone);
    edge = 0.;
#elif defined(MATERIAL_SKIN)
    hatch = hatching(tone);
    edge = max(edge, .85 * ramp(.42, .22, detail_a.z));  // folds of the skin
#elif !defined(MATERIAL_TEETH)
    hatch = hatching(tone);
#endif
    float ink = clamp(max(max(s.ink, edge * .9), hatch * .62), 0., 1.);
    float pencil = clamp(.85 + .3 * noise(world_position * 140.), 0., 1.);
    float paper = .965 * mix(.80, 1., ramp(.15, .65, tone));
    return vec3(mix(paper, .13, ink * pencil));
}
