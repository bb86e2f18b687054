// Package proof keeps the proof of a log while it is written: it follows the
// journal with a cursor of its own, hashes each record into the tree of the open
// epoch, signs checkpoints, and hands them to a file, the store and the
// witnesses. Nothing waits for it. What it knows is a function of the journal
// alone: it writes the first record of an epoch, and goes on with that when it
// reads it.
package proof
