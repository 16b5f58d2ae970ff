// Wrinkles, folds and pores: bends the normal and darkens what lies in a fold.

void add_creases(inout Surface s, Face f) {
    vec3 c = canonical;
    float wrinkles = style_wrinkles(head.wrinkles);

    float forehead = ramp(.032, .045, c.y) * ramp(.088, .07, c.y) * f.front * ramp(.05, .03, f.side);
    float furrow = (c.y + .004 * noise(c * vec3(40, 20, 20)) + .06 * f.side * f.side * 10.) * 640.;
    s.normal.y += wrinkles * .28 * forehead * sin(furrow);

    float crows_foot = bell(f.side - .056, .010) * bell(c.y - .003, .012) * ramp(.03, .05, c.z);
    s.normal.y += wrinkles * .35 * crows_foot * sin((c.y - .003) * 900. + f.side * 150.);

    float laugh_line = bell(f.side - .028 - (-.035 - c.y) * .35, .0035)
        * ramp(-.070, -.06, c.y) * ramp(-.028, -.040, c.y) * f.front;
    s.openness *= 1. - (.16 + .42 * wrinkles) * laugh_line;

    float below_eye = c.y + .012 + .25 * (f.side - .031) * (f.side - .031) * 40.;
    float bag = bell(below_eye, .0035) * bell(f.side - .031, .014) * f.front;
    s.openness *= 1. - (.08 + .28 * wrinkles) * bag;

    vec3 pores = vec3(f.grain, cloud(c * 170. + 51.), cloud(c * 170. + 91.)) - .5;
    s.normal = normalize(s.normal + PORES * pores * f.front);
}

// Openness of skin from the baked one.
float skin_openness(float baked) {
    return clamp(mix(1., pow(baked, 1.25), .95), .05, 1.);
}
