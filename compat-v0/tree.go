package walv0

import (
	"cmp"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// partitionID names a partition.
type partitionID struct {
	topic string
	num   int32
}

func (p partitionID) String() string { return fmt.Sprintf("%s/%d", p.topic, p.num) }

// sourceFile is a file of records.
type sourceFile struct {
	// name is relative to the data directory.
	name string
	size int64
	// part is the place of its partition in the list of them.
	part int
	// order are the numbers in its name.
	order [2]uint64
}

// tree is what lies in a v0 data directory. Files are in the order of their partitions and, in one,
// in the order of the numbers in their names.
type tree struct {
	dir        string
	partitions []partitionID
	files      []sourceFile
	// ignored are names that no v0 directory has.
	ignored []string
}

// list reads the names in a v0 data directory.
func list(dir string) (*tree, error) {
	t := &tree{dir: dir}
	topics, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, topic := range topics {
		if !isDir(dir, topic.Name()) {
			t.ignored = append(t.ignored, topic.Name())
			continue
		}
		partitions, err := os.ReadDir(filepath.Join(dir, topic.Name()))
		if err != nil {
			return nil, err
		}
		for _, p := range partitions {
			name := filepath.Join(topic.Name(), p.Name())
			n, err := strconv.ParseInt(p.Name(), 10, 32)
			if err != nil || n < 0 || strconv.FormatInt(n, 10) != p.Name() || !isDir(dir, name) {
				t.ignored = append(t.ignored, name)
			} else if err := t.partition(partitionID{topic.Name(), int32(n)}, name); err != nil {
				return nil, err
			}
		}
	}
	if len(t.partitions) == 0 {
		return nil, fmt.Errorf("%s: %w", dir, ErrNoSource)
	}
	t.sort()
	return t, nil
}

func isDir(parts ...string) bool {
	info, err := os.Stat(filepath.Join(parts...)) // it may be a link
	return err == nil && info.IsDir()
}

// partition takes in the files of a partition.
func (t *tree) partition(id partitionID, folder string) error {
	entries, err := os.ReadDir(filepath.Join(t.dir, folder))
	if err != nil {
		return err
	}
	t.partitions = append(t.partitions, id)
	for _, e := range entries {
		name := filepath.Join(folder, e.Name())
		order, ok := fileOrder(e.Name())
		if !ok {
			if e.Name() != "checkpoint.json" {
				t.ignored = append(t.ignored, name)
			}
			continue
		}
		info, err := os.Stat(filepath.Join(t.dir, name))
		if err != nil {
			return err
		}
		if !info.Mode().IsRegular() {
			return fmt.Errorf("%s: %w: not a regular file", name, fs.ErrInvalid)
		}
		t.files = append(t.files, sourceFile{name, info.Size(), len(t.partitions) - 1, order})
	}
	return nil
}

// sort brings the partitions into the order of topic and number, their files into that of the numbers
// in their names.
func (t *tree) sort() {
	of := func(f sourceFile) partitionID { return t.partitions[f.part] }
	slices.SortFunc(t.files, func(a, b sourceFile) int {
		return cmp.Or(comparePartitions(of(a), of(b)), slices.Compare(a.order[:], b.order[:]), strings.Compare(a.name, b.name))
	})
	sorted := slices.SortedFunc(slices.Values(t.partitions), comparePartitions)
	for i := range t.files {
		t.files[i].part, _ = slices.BinarySearchFunc(sorted, of(t.files[i]), comparePartitions)
	}
	t.partitions = sorted
}

func comparePartitions(a, b partitionID) int {
	return cmp.Or(strings.Compare(a.topic, b.topic), cmp.Compare(a.num, b.num))
}

// fileOrder returns the numbers in the name of a file of records.
func fileOrder(name string) (order [2]uint64, ok bool) {
	name, ok = strings.CutPrefix(name, "wal_")
	if !ok {
		return order, false
	}
	name, ok = strings.CutSuffix(name, ".log")
	a, b, two := strings.Cut(name, "_")
	if !ok || !two {
		return order, false
	}
	for i, text := range []string{a, b} {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return order, false
		}
		order[i] = n
	}
	return order, true
}
