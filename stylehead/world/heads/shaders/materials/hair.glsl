// Strands on the surface of the hair, cut off in a ragged line at its end.
#define along detail_a.y          // metres from the crown along the strand
#define above_edge detail_a.z     // metres to the end of the hair; negative is cut away
#define depth detail_a.w          // how thick the hair is here, 0.5..1
#define tangent detail_b.xyz      // along the strand
#define rooted detail_b.w         // 0 where the hair hangs over skin that it does not grow from

// Random values for broad, middle and fine strands.
vec3 find_strands(vec2 around) {
    vec3 c = canonical;
    vec3 p = vec3(around * 26. + head.strand_wave * .35 * sin(along * 90. + around.yx * 9.), along * 9.);
    vec3 straight = vec3(
        noise(p), noise(p * vec3(2.7, 2.7, 2.) + 13.), noise(vec3(around * 26. * 6.5, along * 22.) + 5.));
    if (head.curl <= 0.) return straight;
    vec3 curly = vec3(cloud(c * 190. + world_position * 20.) * 1.3 - .15, noise(c * 520.), noise(c * 900.));
    return mix(straight, curly, head.curl);
}

// Highlight of a thin cylinder.
float cylinder_glint(Surface s, vec3 direction, vec3 light) {
    float cosine = dot(direction, normalize(light + s.view));
    return pow(sqrt(max(1. - cosine * cosine, 0.)), 70.) * max(dot(s.normal, light) + .2, 0.);
}

void material(inout Surface s) {
    vec3 strands = find_strands(normalize(canonical.xz - vec2(0, -.005)));
    float ragged = (strands.y - .5) * .007 + (strands.z - .5) * .006;
    if (rooted < .5) ragged *= 1.9;
    if (above_edge + ragged < 0.) discard;

    vec3 colour = style_hair_colour(head.hair_colour), direction = normalize(tangent + .0001);
    float mean = .40 * strands.x + .35 * strands.y + .25 * strands.z;
    if (s.back) s.normal = -s.normal;
    vec3 across = normalize(cross(s.normal, direction) + .0001);
    s.normal = normalize(s.normal + STRAND_RELIEF * across * (strands.y - .5 + .7 * (strands.z - .5))
        + .3 * direction * (strands.x - .5) * (head.curl + .2));

    s.albedo = colour * style_strand_shade(mean);
    if (head.grey > .2) s.albedo = mix(s.albedo, s.albedo * (.55 + .9 * strands.z), head.grey);
    s.openness = (.42 + .58 * ramp(-.2, 1., depth)) * mix(.72, 1., ramp(.0, .012, above_edge));
    if (s.back) s.openness *= .35;
    s.wrap = vec3(.25);

    float angle = light_angle();
    float glints = cylinder_glint(s, direction, normalize(vec3(sin(angle) * .6, .95, cos(angle) * .6)))
        + .6 * cylinder_glint(s, direction, normalize(vec3(-.35, .6, -.85)));
    if (!s.back) s.emission = (colour * .9 + .035) * glints * (.35 + 1.1 * mean) * (1. - .8 * head.curl) * .9;
}
