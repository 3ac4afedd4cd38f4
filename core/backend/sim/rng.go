package sim

// rng is SplitMix64: one word of state, no allocation, and the same sequence in
// every release of Go, so that a printed seed stays good.
type rng uint64

func (r *rng) next() uint64 {
	*r += 0x9e3779b97f4a7c15
	return mix(uint64(*r))
}

// below returns a number from 0 to n-1; n is at least 1.
func (r *rng) below(n int) int { return int(r.next() % uint64(n)) }

// mix is the finalizer of SplitMix64: a bijection in which each bit of x changes half
// of the bits of the result.
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}

// mix2 combines two words into one.
func mix2(a, b uint64) uint64 { return mix(mix(a+0x9e3779b97f4a7c15) ^ b) }
