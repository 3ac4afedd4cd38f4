//go:build unix

package bench

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// cpuTime is what this process has used of the CPUs, in user and system mode.
func cpuTime() time.Duration {
	var ru unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &ru) != nil {
		return 0
	}
	return time.Duration(ru.Utime.Nano() + ru.Stime.Nano())
}

// kernel names the system and its release.
func kernel() string {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return "unknown"
	}
	return unix.ByteSliceToString(u.Sysname[:]) + " " + unix.ByteSliceToString(u.Release[:])
}

// deviceNumber is that of the file system which holds dir, "major:minor"; "" if unknown.
func deviceNumber(dir string) string {
	var st unix.Stat_t
	if unix.Stat(dir, &st) != nil {
		return ""
	}
	dev := uint64(st.Dev) //nolint:unconvert // of another type on other systems
	return fmt.Sprintf("%d:%d", unix.Major(dev), unix.Minor(dev))
}
