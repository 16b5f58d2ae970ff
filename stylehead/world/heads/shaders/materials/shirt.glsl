// Cloth over chest and shoulders, cut at the neckline.
#define azimuth detail_a.x        // degrees from the front
#define baked_openness detail_a.z

float neckline() {
    if (head.shirt < .5) return mix(-.168, -.122, ramp(0., 120., azimuth));
    if (head.shirt < 1.5) return mix(-.215 + .0010 * min(azimuth, 50.), -.122, ramp(10., 120., azimuth));
    return mix(-.150, -.108, ramp(0., 110., azimuth));
}

void material(inout Surface s) {
    vec3 c = canonical;
    float below = neckline() - c.y;
    if (below < 0.) discard;

    float rib = ramp(.012, .010, below);
    float seam = .22 * bell(below - .012, .0016) + .10 * rib * (.5 + .5 * sin(azimuth * 8.));
    vec3 cloth = head.shirt_colour * (.92 + .16 * noise(c * 600.)) * (1. - seam);
    s.albedo = style_cloth(s.back ? cloth * .5 : cloth, rib);
    s.openness = s.back ? .5 : mix(1., baked_openness, .8) * (.55 + .45 * ramp(0., .01, below));
    s.specular = .03;
    s.wrap = vec3(.15);
    s.normal = normalize(s.normal + .35 * (cloud3(c * 30., vec3(0, 17, 40)) - .5));
}
