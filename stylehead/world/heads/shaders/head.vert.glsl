// Puts the head into the world, and hands everything on to the materials.
#include "interface.glsl"

in vec3 vertex_position;
in vec3 vertex_normal;
in vec3 vertex_canonical;
in vec4 vertex_detail_a;
in vec4 vertex_detail_b;

out vec3 world_position;
out vec3 smooth_normal;
out vec3 canonical;
out vec4 detail_a;
out vec4 detail_b;
out float distance_ahead;

void main() {
    world_position = (vertex_position - head.centre) * head.scale;
    smooth_normal = vertex_normal;
    canonical = vertex_canonical;
    detail_a = vertex_detail_a;
    detail_b = vertex_detail_b;
    distance_ahead = -(camera.view * vec4(world_position, 1)).z;
    gl_Position = camera.view_projection * vec4(world_position, 1);
}
