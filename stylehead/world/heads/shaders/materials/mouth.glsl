// The cavities behind the lips and around the eyes.

void material(inout Surface s) {
    s.openness = .25 + .35 * ramp(.055, .10, canonical.z);
    bool socket = canonical.y > -.02;
    s.albedo = socket ? skin_tone(head.melanin, head.haemoglobin + .8) * .6 : vec3(.28, .07, .06);
    s.ink = .8;
}
