package wal

import (
	"sort"
	"sync"

	"github.com/chronik-go/wal/core/format"
)

// footerCacheSize is how many footers a log keeps in memory for its readers.
const footerCacheSize = 8

// footerCache keeps the footers of the segments that were read last.
type footerCache struct {
	mu   sync.Mutex
	used []*segment // the last one is the newest
}

// partition returns what the footer of g holds of a partition, nil if nothing.
func (c *footerCache) partition(g *segment, id uint32) (*format.FooterPartition, error) {
	f, err := c.get(g)
	if err != nil {
		return nil, err
	}
	i := sort.Search(len(f.Partitions), func(i int) bool { return f.Partitions[i].ID >= id })
	if i == len(f.Partitions) || f.Partitions[i].ID != id {
		return nil, nil
	}
	return &f.Partitions[i], nil
}

func (c *footerCache) get(g *segment) (*format.Footer, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.footer == nil {
		f, err := g.loadFooter(g.trailer)
		if err != nil {
			return nil, err
		}
		g.footer = f
	}
	f := g.footer
	c.touch(g)
	return f, nil
}

// touch moves g to the newest place; the oldest beyond the limit loses its footer. The
// caller holds g.mu, so a segment in use elsewhere is left for the next time.
func (c *footerCache) touch(g *segment) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, u := range c.used {
		if u == g {
			copy(c.used[i:], c.used[i+1:])
			c.used[len(c.used)-1] = g
			return
		}
	}
	c.used = append(c.used, g)
	if len(c.used) > footerCacheSize && c.used[0].mu.TryLock() {
		c.used[0].footer = nil
		c.used[0].mu.Unlock()
		c.used = c.used[1:]
	}
}
