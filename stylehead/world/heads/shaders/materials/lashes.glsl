// A ribbon along the upper lid, cut into lashes; make-up lengthens them.

void material(inout Surface s) {
    vec3 c = canonical;
    if (c.y < .004) discard;
    float lash = noise(vec3(c.x * 900., 0., 2.));
    float from_eye = length(vec2(abs(c.x) - .031, c.y - .004));
    if (lash + (from_eye - .018) * 60. > .72 + head.makeup * .25) discard;
    s.albedo = vec3(.012, .009, .008);
    s.ink = 1.;
}
