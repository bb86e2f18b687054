package cwmp

// Limits bound what one body may hold, beside its size, which is the caller's
// to bound. What goes over one is refused with the Reason of its name.
type Limits struct {
	Depth      int // elements inside each other
	Attributes int // of one element
	Namespaces int // declarations in scope at one place
	Name       int // bytes of one name of an element or attribute
	Parameters int // items of all lists together
	Elements   int // elements of no schema
}

// DefaultLimits are far above what devices send: the largest data models have
// some ten thousand parameters.
func DefaultLimits() Limits {
	return Limits{Depth: 64, Attributes: 64, Namespaces: 64, Name: 1024, Parameters: 100_000, Elements: 100_000}
}
