// The back of the skin, seen through an open mouth or under the cut of the chest: one colour, without light.
#define FLAT_COLOUR SKIN_INSIDE
