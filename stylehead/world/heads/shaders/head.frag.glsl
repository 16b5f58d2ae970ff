// One program for each material and style: Python defines MATERIAL_<NAME>, and names the two files.
#include "interface.glsl"

in vec3 world_position;
in vec3 smooth_normal;
in vec3 canonical;       // where the fragment is on the average head: patterns are drawn there
in vec4 detail_a;        // what these two mean is said in each material
in vec4 detail_b;
in float distance_ahead; // world units along the camera's axis

layout(location = 0) out vec4 out_colour;
layout(location = 1) out float out_depth;

#include "noise.glsl"
#include "surface.glsl"
#include "face.glsl"
#include "styles/STYLE.glsl"
#include "styles/defaults.glsl"
#include "materials/MATERIAL.glsl"

void main() {
#ifdef FLAT_COLOUR
    out_colour = vec4(FLAT_COLOUR, 1);
#else
    Surface s = new_surface();
    material(s);
    out_colour = vec4(style_finish(s), 1);
#endif
    out_depth = distance_ahead;
}
