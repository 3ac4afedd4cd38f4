//go:build !unix

package bench

import "time"

// cpuTime is not known on this system.
func cpuTime() time.Duration { return 0 }

// kernel is not known on this system.
func kernel() string { return "unknown" }

// deviceNumber is not known on this system.
func deviceNumber(string) string { return "" }
