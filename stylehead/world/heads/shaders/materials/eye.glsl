// An eyeball; `canonical` is on a unit sphere with the pupil at +z.

void material(inout Surface s) {
    vec3 c = canonical;
    float from_pupil = acos(clamp(c.z, -1., 1.)) * head.eye_radius / IRIS_RADIUS;  // 1 at the edge of the iris
    float angle = atan(c.y, c.x);
    float iris = ramp(1.03, .94, from_pupil), pupil = ramp(.46, .38, from_pupil);
    float limbus = bell(from_pupil - .97, .10);  // the dark ring around the iris

    EyeColours colours = EyeColours(head.eye_colour, vec3(.72, .69, .66), 1., 1.);
    style_eye(colours, angle, from_pupil);
    vec3 white = colours.white * mix(vec3(1), vec3(.95, .70, .66), .35 * ramp(1.3, 2.2, from_pupil) * colours.veins);
    float fibres = noise(vec3(angle * 6., from_pupil * 3., 2.)) * .5
        + .5 * noise(vec3(angle * 17., from_pupil * 2., 5.));
    vec3 coloured = colours.iris * (.55 + .9 * fibres) * mix(1.35, .45, ramp(.55, 1., from_pupil));
    s.albedo = mix(white, coloured, iris) * (1. - .6 * limbus);
    s.albedo = mix(s.albedo, vec3(.004), pupil * colours.pupil);

    // The lids throw a shadow.
    s.openness = (.55 + .45 * ramp(.50, -.10, c.y) * ramp(-.75, -.2, c.y)) * .95;
    s.wrap = vec3(.3);
    float highlight = style_eye_highlight(c);
    s.emission = EYE_SHINE * (.75 * highlight + EYE_GLOW * colours.iris * iris * (1. - pupil));
    s.ink = highlight > .5 ? 0. : max(iris * .45, max(pupil, limbus * .9));
    style_eye_finish(s, from_pupil, pupil, limbus);
}
