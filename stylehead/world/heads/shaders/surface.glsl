// What a material says about a point, and how light makes a colour of it.

struct Surface {
    vec3 albedo;      // linear
    vec3 normal;
    vec3 view;        // towards the camera
    bool back;        // seen from behind
    float openness;   // how much of the surroundings' light arrives, 0..1
    vec3 wrap;        // how far light reaches around an edge, for each colour: skin glows red there
    float specular;
    float gloss;
    float softness;   // 1: brighter surroundings and a weaker main light
    vec3 emission;
    float ink;        // how dark a pen draws it, 0..1; only the sketch looks at this
};

Surface new_surface() {
    vec3 normal = smooth_normal / (length(smooth_normal) + 1e-5);
    vec3 view = normalize(camera.position - world_position);
    bool back = dot(normal, view) < 0. && !gl_FrontFacing;
    return Surface(vec3(.5), normal, view, back, 1., vec3(.1), 0., 20., 0., vec3(0), 0.);
}

float light_angle() {
    return .5 + .55 * head.light;
}

vec3 key_light() {
    float angle = light_angle();
    return normalize(vec3(sin(angle) * .85, .55, cos(angle) * .85));
}

vec3 fill_light() {
    return normalize(vec3(-sin(light_angle()) * .9 - .25, .15, .55));
}

vec3 rim_light() {
    return normalize(vec3(-.35, .45, -.85));
}

vec3 wrapped(Surface s, vec3 light) {
    return max((dot(s.normal, light) + s.wrap) / (1. + s.wrap), 0.);
}

float glint(Surface s, vec3 light) {
    return pow(clamp(dot(s.normal, normalize(light + s.view)), 0., 1.), s.gloss);
}

// Light that leaves the surface: three lamps in front of a sky that is a little blue above and brown below.
vec3 lit(Surface s) {
    vec3 key = key_light(), fill = fill_light(), rim = rim_light();
    vec3 sky = mix(vec3(.36, .33, .32), vec3(.60, .62, .66), s.normal.y * .5 + .5) * mix(1., 1.15, s.softness);
    vec3 lamps = wrapped(s, key) * vec3(.78, .74, .69) * mix(1., .85, s.softness)
        + wrapped(s, fill) * vec3(.26, .28, .31) + wrapped(s, rim) * vec3(.42, .42, .44);
    vec3 diffuse = s.albedo * (sky * s.openness + mix(s.openness, 1., .55) * lamps);
    float fresnel = .04 + .35 * pow(clamp(1. - dot(s.normal, s.view), 0., 1.), 5.);
    float glints = (glint(s, key) * .8 + glint(s, fill) * .3 + glint(s, rim) * .4) * (s.gloss + 8.) / 25.;
    return diffuse + s.specular * fresnel * glints * s.openness * 4.;
}

// Linear light to what a screen shows.
vec3 developed(vec3 light) {
    return pow(1. - exp(-1.55 * max(light, 0.)), vec3(1. / 2.2));
}
