// What every shader sees. Lengths are metres on the average head, but for world_position. The blocks are filled by
// field name from Python (shader_source.py reads them here); only float, vec3 and mat4 are understood.

layout(std140) uniform Camera {
    mat4 view;
    mat4 view_projection;
    vec3 position;
} camera;

layout(std140) uniform Head {
    vec3 centre;            // metres: this point goes to the world's origin
    float scale;            // world units a metre
    vec3 hair_colour;       // linear albedo, as are all colours
    float grey;             // 0..1
    vec3 eye_colour;
    float eye_radius;       // metres
    vec3 shirt_colour;
    float shirt;            // 0 crew, 1 v-neck, 2 hoodie
    float melanin;          // 0..1
    float haemoglobin;      // about 0.4
    float freckles;         // 0..1
    float wrinkles;         // 0..1
    float lip_colour;       // 0 pale .. 1.3 painted
    float makeup;           // 0..1
    float brow_thickness;   // 0.2..1.1
    float brow_arch;        // about 0.5
    float shaved_beard;     // 1: no beard or stubble, 0: a beard that has been let grow
    float scalp_hair;       // 0 bald, 1 shaved, 2 grown
    float strand_wave;      // 0..1
    float curl;             // 0..1
    float dark_frame;       // of the glasses: 0 metal, 1 dark plastic
    float light;            // direction of the main light, positive from the head's left
} head;
