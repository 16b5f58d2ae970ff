// Frame, and lenses of sunglasses.
#define lens detail_a.x

void material(inout Surface s) {
    bool dark_lens = lens > .5;
    vec3 frame = mix(vec3(.25, .24, .22), vec3(.02, .018, .018), head.dark_frame);
    s.albedo = dark_lens ? vec3(.018, .018, .022) : frame;
    if (dark_lens && s.back) s.normal = -s.normal;
    s.specular = 1.;
    s.gloss = 50.;
    s.ink = dark_lens ? .8 : 1.;
}
