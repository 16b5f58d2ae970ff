// Where on the face a point is. Positions are those of the average adult, so these rules fit every head.

struct Face {
    float side;          // distance from the middle plane
    float front;         // 1 on the face, 0 behind the ears
    float eye_distance;  // from the nearer eye, in an oval
    float socket;        // 1 at the eyes
    float cheek;
    float nose_tip;
    float mottle;        // slow random pattern, 0..1
    float grain;         // fine random pattern, 0..1
};

// What the paint of a style may keep clear of, or follow.
struct Paint {
    float lips;            // 0..1
    float brow;            // 0..1
    float above_hairline;  // metres; negative on the face
    float ear;             // 0..1
};

struct EyeColours {
    vec3 iris;
    vec3 white;
    float pupil;           // how black it is, 0..1
    float veins;           // how red the white is towards its edge, 0..1
};

Face find_face() {
    vec3 c = canonical;
    Face f;
    f.side = abs(c.x);
    f.front = ramp(.03, .06, c.z);
    f.eye_distance = length(vec2(f.side - .031, (c.y - .004) * 1.35));
    f.socket = bell(f.eye_distance, .022) * f.front;
    f.cheek = bell(f.side - .043, .020) * bell(c.y + .028, .020) * ramp(.05, .075, c.z);
    f.nose_tip = bell(length(vec2(c.x, c.y + .036)), .018) * ramp(.1, .115, c.z);
    f.mottle = cloud(c * 45.);
    f.grain = cloud(c * 170. + 11.);
    return f;
}

// Albedo of skin: white light through melanin and blood.
vec3 skin_tone(float melanin, float haemoglobin) {
    return vec3(.90, .66, .54) * exp(-melanin * vec3(2.1, 2.80, 3.35) - haemoglobin * vec3(.03, .44, .40));
}

// Position along a brow: 0 at the nose, 1 at the temple.
float along_brow(float side) {
    return clamp((side - .010) / .044, 0., 1.);
}

// How the brow rises and falls along itself, 0..1 or so.
float brow_curve(float along) {
    return sin(3.14159 * pow(along, 1.25) * .72);
}
