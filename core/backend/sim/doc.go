// Package sim is a simulated machine with one disk, in memory and deterministic: a
// [backend.Backend] that can lose power after any operation.
//
// # Fault model
//
// The simulated disk keeps two copies of everything: what a running program sees
// (the cache) and what would survive a power failure (the medium). The medium
// changes only when a sync says so. Between the two stand the unsynced changes, in
// the order in which they were made. They come in units, each of which survives a
// power failure or not:
//
//   - One 512-byte sector of a write. It holds, after the crash, what it held before,
//     what was being written, or garbage. A sector that no unsynced write covers never
//     changes. A sector that was never durably written reads as zeros before.
//   - One change of a file's size, of which the first is the reservation by Create. The
//     changes of one file survive in order: none without those before it. What was
//     written beyond a size that is lost is lost with it.
//   - One directory operation: create, remove, rename. A rename is atomic. Operations
//     that share a name survive in order, others independently of each other. A file
//     whose name is lost is lost, however well its content was synced.
//
// A write counts as unsynced from Submit on; it is visible to readers from Wait on.
// A synced write makes durable: itself, the size of its file, and every write to the
// same file that Wait returned before it was submitted, but nothing that is in flight
// with it, not even a write of the same batch. With [Options.PerWriteSync] a write that
// has data makes durable only itself and the size, as one with O_DSYNC does.
// File.Sync makes durable the size and every write that Wait returned; Dir.Sync the
// directory's entries; making a directory is durable at once.
//
// When a write fails with EIO nobody knows what reached the medium: its sectors stay
// unsynced, invisible to readers, and no later sync makes them durable. That ends where
// a durable write replaces them, and for the whole file when File.Sync returns nil. When
// a sync fails in the way of Linux ([Fault.Gate]), the same goes for every write that it
// would have made durable, except that the cache still shows it: until File.Sync
// returns nil, and with that reads show the medium again, as the contract demands.
//
// When only the process dies ([Kill]), the cache survives: completed writes are there,
// still unsynced; writes in flight are there or not, sector by sector.
//
// Not modelled: bytes that change in a sector nobody writes (see Disk.Edit and the
// helpers around it for damage), reordering of a later completed write before a sync
// (a sync is a barrier), and time.
//
// # Use
//
// A [Disk] records a [Trace] of what was done to it. A [Cursor] walks along the trace
// and makes, at each point, as many crash images as one likes: each is a Disk of its
// own that shares its memory with the others, records its own trace and can crash in
// turn. [Trace.CrashStates] enumerates them by a plan. Disk.Mark puts the caller's own
// events into the trace, so that a test knows what had been acknowledged at each point.
//
// The same calls in the same order with the same seed give the same trace, images and
// hashes. No goroutine is started and no clock is read, so a Disk works in a
// testing/synctest bubble. All methods may be called concurrently.
package sim
