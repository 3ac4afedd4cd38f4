package bench

import (
	"bufio"
	"bytes"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// usage is what this process has used so far.
type usage struct {
	cpu        time.Duration
	mallocs    uint64
	blockBytes int64 // handed to the block layer; -1 where the system does not count it
}

func currentUsage() usage {
	var ms runtime.MemStats
	runtime.ReadMemStats(&ms)
	return usage{cpu: cpuTime(), mallocs: ms.Mallocs, blockBytes: procNumber("/proc/self/io", "write_bytes")}
}

// peakRSS returns the most memory that this process has had resident, in 10^6 bytes.
func peakRSS() float64 {
	kib := procNumber("/proc/self/status", "VmHWM")
	return round(float64(max(kib, 0))*1024/1e6, 1)
}

// procNumber returns the number behind a name in a file of lines "name: number", -1 if
// there is none.
func procNumber(file, name string) int64 {
	b, err := os.ReadFile(file)
	if err != nil {
		return -1
	}
	for lines := bufio.NewScanner(bytes.NewReader(b)); lines.Scan(); {
		rest, ok := strings.CutPrefix(lines.Text(), name+":")
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
		if err != nil {
			return -1
		}
		return n
	}
	return -1
}

// round keeps so many digits behind the point.
func round(v float64, digits int) float64 {
	r, err := strconv.ParseFloat(strconv.FormatFloat(v, 'f', digits, 64), 64)
	if err != nil {
		return v
	}
	return r
}

// ratio is a/b, 0 if there is no b.
func ratio(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}
