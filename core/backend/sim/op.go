package sim

import (
	"fmt"
	"path"
)

// Op is a kind of operation of a Disk, as traces, faults and hooks name it.
type Op uint8

// The operations. Those marked * change the disk and appear in its trace. A write is
// two of them: OpSubmit when Submit takes it, OpWrite or OpSync when Wait completes it.
const (
	OpOpenDir  Op = iota + 1 // Backend.OpenDir
	OpMkdir                  // * a directory made by OpenDir, and durable
	OpLock                   // Dir.Lock
	OpList                   // Dir.List
	OpCreate                 // * Dir.Create
	OpOpen                   // Dir.Open
	OpRename                 // * Dir.Rename
	OpRemove                 // * Dir.Remove
	OpDirSync                // * Dir.Sync
	OpQueue                  // Dir.Queue
	OpBuffer                 // Queue.Buffer
	OpRead                   // File.ReadAt
	OpSize                   // File.Size
	OpResize                 // * File.Resize
	OpFileSync               // * File.Sync
	OpSubmit                 // * one write of a batch is submitted
	OpWrite                  // * one write without Sync completes
	OpSync                   // * one write with Sync completes
	OpWait                   // Queue.Wait, before it completes a batch
	OpEdit                   // * damage or a file put there by a helper of Disk
)

var opNames = [...]string{
	OpOpenDir: "opendir", OpMkdir: "mkdir", OpLock: "lock", OpList: "list", OpCreate: "create",
	OpOpen: "open", OpRename: "rename", OpRemove: "remove", OpDirSync: "dirsync", OpQueue: "queue",
	OpBuffer: "buffer", OpRead: "read", OpSize: "size", OpResize: "resize", OpFileSync: "filesync",
	OpSubmit: "submit", OpWrite: "write", OpSync: "sync", OpWait: "wait", OpEdit: "edit",
}

// String returns the operation's name, one lower-case word.
func (o Op) String() string {
	if int(o) < len(opNames) && opNames[o] != "" {
		return opNames[o]
	}
	return fmt.Sprintf("op(%d)", uint8(o))
}

// OpInfo describes one operation.
type OpInfo struct {
	Op      Op
	Dir     string // path of the directory
	Name    string // name in it, where the operation has one
	NewName string // of a rename
	Offset  int64  // of reads and writes, in bytes
	Len     int64  // of reads and writes, in bytes; the size for OpCreate and OpResize
	Sync    bool   // of OpSubmit: the write has Sync set
	Failed  bool   // in a trace: the operation returned an error
}

// String returns the operation in one line, for messages.
func (i OpInfo) String() string {
	s := i.Op.String() + " " + path.Join(i.Dir, i.Name)
	switch i.Op {
	case OpRename:
		s += " to " + i.NewName
	case OpRead, OpSubmit, OpWrite, OpSync:
		s += fmt.Sprintf(" [%d, +%d]", i.Offset, i.Len)
	case OpCreate, OpResize:
		s += fmt.Sprintf(" size %d", i.Len)
	}
	if i.Failed {
		s += " (failed)"
	}
	return s
}

// op is an operation as the trace keeps it: what a state needs to repeat it.
type op struct {
	OpInfo
	ino     int      // of operations on a file: its inode number
	sectors []sector // of OpSubmit and OpCreate
	data    []byte   // of OpWrite and OpSync without a trace: the caller's memory
	submit  uint64   // of OpWrite and OpSync: number of the OpSubmit
	landed  int      // of OpWrite and OpSync: sectors that reached the cache
	unsure  bool     // of OpWrite and OpSync: the others may have reached the medium
	durable bool     // of syncs: what it covers is on the medium
	gate    bool     // of syncs: what it covers never will be, and looks clean
	after   *state   // of OpEdit: the state after it
}
