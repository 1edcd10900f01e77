// Package schemas is the contract: what travels and what is stored.
//
// Every layer, every store and every other program means the same by an event,
// a record, a row and a file because they take it from here. There is no I/O in
// it. A format that has been written once must decode for ever: each has a
// golden file in testdata and a page in docs/formats.
package schemas
