// Teeth, darker towards the throat.

void material(inout Surface s) {
    s.openness = .35 + .65 * ramp(.07, .098, canonical.z) * ramp(.030, .012, abs(canonical.x));
    s.albedo = TEETH_COLOUR;
    s.specular = .5;
    s.gloss = 40.;
}
