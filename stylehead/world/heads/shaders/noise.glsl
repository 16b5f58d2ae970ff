// Random patterns in space, and soft steps.

float hash(vec3 p) {
    p = fract(p * .1031);
    p += dot(p, p.zyx + 31.32);
    return fract((p.x + p.y) * p.z);
}

// Random values on the integer lattice, smoothly joined; 0..1.
float noise(vec3 p) {
    vec3 i = floor(p), f = fract(p);
    f = f * f * (3. - 2. * f);
    i += 200.;  // the hash repeats itself around 0
    return mix(
        mix(mix(hash(i), hash(i + vec3(1, 0, 0)), f.x),
            mix(hash(i + vec3(0, 1, 0)), hash(i + vec3(1, 1, 0)), f.x), f.y),
        mix(mix(hash(i + vec3(0, 0, 1)), hash(i + vec3(1, 0, 1)), f.x),
            mix(hash(i + vec3(0, 1, 1)), hash(i + vec3(1, 1, 1)), f.x), f.y),
        f.z);
}

// Four octaves of noise; 0..1, mostly near the middle.
float cloud(vec3 p) {
    return .5 * noise(p) + .27 * noise(p * 2.03 + 7.) + .15 * noise(p * 4.1 + 3.) + .08 * noise(p * 8.3);
}

// Three unrelated clouds, for bumps.
vec3 cloud3(vec3 p, vec3 offsets) {
    return vec3(cloud(p + offsets.x), cloud(p + offsets.y), cloud(p + offsets.z));
}

// Thin bright lines where a cloud crosses its middle, as in marble.
float veins(vec3 p) {
    return 1. - abs(2. * cloud(p) - 1.);
}

// 0 at a, 1 at b, smooth between; unlike smoothstep also for a > b.
float ramp(float a, float b, float x) {
    float t = clamp((x - a) / (b - a), 0., 1.);
    return t * t * (3. - 2. * t);
}

// 1 at 0, falling to both sides.
float bell(float x, float width) {
    return exp(-x * x / (width * width));
}

float luma(vec3 colour) {
    return dot(colour, vec3(.3, .59, .11));
}
