package blockdisk

// blockSize is the unit in which an image is kept. Writes to it may be smaller.
const blockSize = 4096

// image is the content of a disk: layers of blocks, the bottom one first. What no layer holds
// is zeros. A block, once it is in a layer, is never changed but replaced, so that layers and
// recordings share the memory of one write.
type image struct {
	size   int64
	layers []map[int64][]byte
}

func newImage(size int64) *image {
	return &image{size: size, layers: []map[int64][]byte{{}}}
}

// push puts an empty layer on top: all that is written from here on.
func (m *image) push() { m.layers = append(m.layers, map[int64][]byte{}) }

// cut takes away all layers above the lowest n.
func (m *image) cut(n int) { m.layers = m.layers[:n:n] }

// block returns a block's content, nil for one of zeros.
func (m *image) block(n int64) []byte {
	for i := len(m.layers) - 1; i >= 0; i-- {
		if b := m.layers[i][n]; b != nil {
			return b
		}
	}
	return nil
}

func (m *image) read(p []byte, off int64) int {
	p = p[:max(0, min(int64(len(p)), m.size-off))]
	for done := 0; done < len(p); {
		at := off + int64(done)
		part := p[done:min(len(p), done+int(blockSize-at%blockSize))]
		if b := m.block(at / blockSize); b != nil {
			copy(part, b[at%blockSize:])
		} else {
			clear(part)
		}
		done += len(part)
	}
	return len(p)
}

// write keeps p, which must not change any more.
func (m *image) write(p []byte, off int64) {
	top := m.layers[len(m.layers)-1]
	for len(p) > 0 {
		n, in := off/blockSize, off%blockSize
		part := p[:min(int64(len(p)), blockSize-in)]
		old := m.block(n)
		switch {
		case old == nil && zero(part):
		case len(part) == blockSize:
			top[n] = part
		default:
			b := make([]byte, blockSize)
			copy(b, old)
			copy(b[in:], part)
			top[n] = b
		}
		p, off = p[len(part):], off+int64(len(part))
	}
}

func zero(p []byte) bool {
	for _, x := range p {
		if x != 0 {
			return false
		}
	}
	return true
}
