// Package crash proves the log's guarantees on the simulated disk of package sim.
//
// A workload runs concurrent producers on a log and notes, in the trace of the disk,
// what it submitted and what was acknowledged. Then the trace is replayed: at each
// operation many images are made of what a crash there could leave behind, each is
// recovered, and what comes back is compared with what the notes allow. Some images are
// opened for writing, written to, and crashed again, during recovery too.
//
// A run is repeatable as far as the scheduler allows: the seed decides the workload's
// plan, its operations and the crash images, not how goroutines take turns.
package crash
