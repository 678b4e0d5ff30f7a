package audit

// Outgoing is one epoch of a box's log as it may leave the box.
type Outgoing struct {
	Epoch  uint32
	Size   int64  // records committed
	Safe   int64  // of them, those that a checkpoint may cover: the evidence outside the database reaches as far
	Ended  bool   // a later epoch has begun: nothing is added
	Forked bool   // it ended because evidence contradicted it: nothing of it is signed any more
	Pruned int64  // of the records before this one some may be gone; 0: none is
	Stored string // its newest receipt: a checkpoint with the hub's cosignature; empty: none
}
