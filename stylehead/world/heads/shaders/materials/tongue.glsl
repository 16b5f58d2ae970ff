// The tongue.

void material(inout Surface s) {
    s.openness = .6;
    s.albedo = TONGUE_COLOUR;
}
