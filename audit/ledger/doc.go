// Package ledger is the mathematics of the proof: leaves and trees as in RFC
// 6962, inclusion and consistency proofs, signed checkpoints (C2SP
// tlog-checkpoint) with cosignatures of witnesses (C2SP tlog-cosignature), and
// the requests that witnesses take (C2SP tlog-witness). It reads no files and
// asks nobody.
package ledger
