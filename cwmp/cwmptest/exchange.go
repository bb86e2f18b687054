package cwmptest

// Field is one HTTP header field as it stands on the wire.
type Field struct{ Name, Value string }

// Request is one HTTP request; Body is without transfer coding.
type Request struct {
	Method, Target string
	Header         []Field
	Body           []byte
}

// Response is one HTTP response; Body is without transfer coding.
type Response struct {
	Status int
	Reason string
	Header []Field
	Body   []byte
}

// Exchange is a request with the answer to it.
type Exchange struct {
	Request  Request
	Response Response
}
