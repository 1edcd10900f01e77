// Package simulate is a portal of travellers with a hidden truth.
//
// Each visitor has a persona, a party, a taste and a plan; what the portal sees
// of it are the events alone, with everything that makes real ones hard: several
// devices that log in midway, duplicates, late events, wrong clocks, refused and
// withdrawn consent, bots, cancellations. The truth is kept to judge what was
// made of the events. Settings and seed decide every byte: visitors are made one
// by one from the seed and their number, so only those who are under way take
// memory.
package simulate
