package conformance

import (
	"os/exec"

	"github.com/stretchr/testify/require"
)

const groupCrash = "Crash"

// crashChecks are what only a crash can show.
func crashChecks() []check {
	return []check{
		{
			group: groupCrash, name: "Kill",
			says: "what is acknowledged survives the death of the process, at any moment, also during recovery",
			run:  crashKill,
		},
		{
			group: groupCrash, name: "ShutdownExt4",
			says: "what is acknowledged survives a power failure: everything that the kernel holds in memory is lost (ext4)",
			run:  func(t *T) { t.runLayer("shutdown", "ShutdownExt4", *flagStates/4) },
		},
		{
			group: groupCrash, name: "ShutdownXFS",
			says: "what is acknowledged survives a power failure: everything that the kernel holds in memory is lost (xfs)",
			run:  func(t *T) { t.runLayer("shutdown", "ShutdownXFS", *flagStates/8) },
		},
		{
			group: groupCrash, name: "BlockExt4",
			says: "what is acknowledged survives whatever a disk may keep and lose of what was not flushed (ext4)",
			run:  func(t *T) { t.runLayer("block", "BlockExt4", *flagStates*3/8) },
		},
		{
			group: groupCrash, name: "BlockXFS",
			says: "what is acknowledged survives whatever a disk may keep and lose of what was not flushed (xfs)",
			run:  func(t *T) { t.runLayer("block", "BlockXFS", *flagStates/8) },
		},
	}
}

// crashKill kills writers. The kernel keeps what they wrote: whatever was acknowledged up to
// the very end must be there.
func crashKill(t *T) {
	c, err := newCycles(t.suite, "Crash/Kill", t.TempDir())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.close()) })
	c.crash = func(cmd *exec.Cmd, _ func() error) error { return kill(cmd) }
	err = c.run(t.Context(), *flagSeed, max(1, *flagStates/8))
	t.Logf("%d crashes, %d distinct outcomes", c.states, len(c.outcomes))
	require.NoError(t, err)
}

// kill kills a process that may have ended already.
func kill(cmd *exec.Cmd) error {
	_ = cmd.Process.Kill() // else it has
	return nil
}
