package uring

// The kernel's interface: include/uapi/linux/io_uring.h. Sizes and offsets are the same on all
// architectures.

// sqe is a request, 64 bytes.
type sqe struct {
	opcode   uint8
	flags    uint8
	ioprio   uint16
	fd       int32
	off      uint64
	addr     uint64
	len      uint32
	opFlags  uint32 // rw_flags, fsync_flags
	userData uint64
	bufIndex uint16
	_        uint16
	_        int32
	_        [2]uint64
}

// cqe is a completion, 16 bytes.
type cqe struct {
	userData uint64
	res      int32
	flags    uint32
}

type sqOffsets struct {
	head, tail, mask, entries, flags, dropped, array, _ uint32
	_                                                   uint64
}

type cqOffsets struct {
	head, tail, mask, entries, overflow, cqes, flags, _ uint32
	_                                                   uint64
}

type params struct {
	sqEntries, cqEntries, flags, sqThreadCPU, sqThreadIdle, features, wqFD uint32
	_                                                                      [3]uint32
	sq                                                                     sqOffsets
	cq                                                                     cqOffsets
}

const (
	opWritev     = 2
	opWriteFixed = 5
	opPollAdd    = 6
	opWrite      = 23

	sqeFixedFile = 1 << 0

	setupClamp       = 1 << 4
	setupSubmitAll   = 1 << 7
	setupCoopTaskrun = 1 << 8

	setupSingleIssuer = 1 << 12
	setupDeferTaskrun = 1 << 13

	featSingleMmap = 1 << 0

	enterGetEvents      = 1 << 0
	enterRegisteredRing = 1 << 4

	sqCQOverflow = 1 << 1

	offSQRing = 0
	offCQRing = 0x8000000
	offSQEs   = 0x10000000

	registerFiles         = 2
	registerFilesUpdate   = 6
	registerProbe         = 8
	registerBuffers2      = 15
	registerBuffersUpdate = 16
	registerRingFDs       = 20
	unregisterRingFDs     = 21

	rsrcSparse = 1 << 0
)

// rsrcRegister is the argument of registerBuffers2.
type rsrcRegister struct {
	nr, flags uint32
	_         uint64
	data      uint64
	tags      uint64
}

// rsrcUpdate2 is the argument of registerBuffersUpdate.
type rsrcUpdate2 struct {
	offset, _ uint32
	data      uint64
	tags      uint64
	nr, _     uint32
}

// ringUpdate is the argument of registerRingFDs and unregisterRingFDs.
type ringUpdate struct {
	offset, _ uint32
	data      uint64
}

const anyOffset = 1<<32 - 1

// filesUpdate is the argument of registerFilesUpdate.
type filesUpdate struct {
	offset, _ uint32
	fds       uint64
}

// probeOp says of an operation whether the kernel has it.
type probeOp struct {
	op, _ uint8
	flags uint16
	_     uint32
}

const probeOpSupported = 1 << 0

// probe is the argument of registerProbe.
type probe struct {
	lastOp, opsLen uint8
	_              uint16
	_              [3]uint32
	ops            [64]probeOp
}
