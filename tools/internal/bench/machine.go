package bench

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
)

// Machine is what a benchmark ran on.
type Machine struct {
	Device     string `json:"device"`
	FileSystem string `json:"filesystem"`
	Kernel     string `json:"kernel"`
	CPUs       int    `json:"cpus"`
	Build      string `json:"build"`
}

// Lines returns the machine as lines of text.
func (m Machine) Lines() []string {
	return []string{
		"device      " + m.Device,
		"filesystem  " + m.FileSystem,
		"kernel      " + m.Kernel,
		fmt.Sprintf("cpus        %d", m.CPUs),
		"build       " + m.Build,
	}
}

// Describe tells what a benchmark in dir runs on; "unknown" where the system does not say.
func Describe(dir string) Machine {
	m := Machine{Device: "unknown", FileSystem: "unknown", Kernel: kernel(), CPUs: runtime.NumCPU(), Build: Build()}
	dev := deviceNumber(dir)
	info, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return m
	}
	if source, fs, ok := mountOf(info, dev); ok {
		m.Device, m.FileSystem = deviceText(source, "/sys/dev/block/"+dev), fs
	}
	return m
}

// mountOf finds the device, and the file system with its options, of a device number in
// mountinfo (see proc(5)): "36 35 98:0 /root /mnt opts - ext4 /dev/sda1 superopts".
func mountOf(mountinfo []byte, dev string) (source, fs string, ok bool) {
	for lines := bufio.NewScanner(bytes.NewReader(mountinfo)); lines.Scan(); {
		before, after, found := strings.Cut(lines.Text(), " - ")
		mount, super := strings.Fields(before), strings.Fields(after)
		if !found || len(mount) < 3 || len(super) < 3 || mount[2] != dev {
			continue
		}
		return super[1], super[0] + " (" + super[2] + ")", true
	}
	return "", "", false
}

// deviceText adds to a device's name what the kernel says about it.
func deviceText(source, sys string) string {
	var facts []string
	for _, queue := range []string{"queue", "../queue"} { // of a disk, of a partition's disk
		for _, fact := range []string{"write_cache", "fua", "rotational", "logical_block_size"} {
			b, err := os.ReadFile(filepath.Join(sys, queue, fact))
			if err == nil {
				facts = append(facts, fact+"="+strings.TrimSpace(string(b)))
			}
		}
	}
	if len(facts) == 0 {
		return source
	}
	return source + " (" + strings.Join(facts, ", ") + ")"
}

// Build describes this program: its version and the Go release it was built with.
func Build() string {
	version := "unknown"
	if info, ok := debug.ReadBuildInfo(); ok {
		version = info.Main.Version
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				version += " " + s.Value
			}
		}
	}
	return fmt.Sprintf("%s %s %s/%s", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
