// Package visitor turns a device's events into what is known of it.
//
// Two steps, and only the first minds the order. The Filter walks a device's
// events as they lie in the log and says of each: duplicate, erased, without
// consent, or accepted, and for which login. What it accepts goes into a
// History, which is a commutative monoid on canonical bytes: its zero value is
// empty, Add takes events in any order, Merge joins the histories of disjoint
// sets of events. Speed adds one event at a time, batch adds a year of them,
// serving merges the two, and all three see the same.
//
// A device and what it did under one login is a unit; the units of a device lie
// side by side and are never joined in storage, so that linking a device to a
// person and unlinking it lose nothing.
package visitor
