package h1

import (
	"errors"
	"slices"
)

// ErrIdle is returned by Next when no request began in time, or when Drain was
// called: nothing is owed to the peer.
var ErrIdle = errors.New("idle connection")

// ErrNotReusable is returned by Send and Peek where the connection cannot carry
// another request: nothing was written.
var ErrNotReusable = errors.New("connection cannot be used again")

// Reason says why a message was refused. The list is closed: it serves as
// metric label and as test name.
type Reason string

// The reasons, in the order of Reasons.
const (
	ReasonEmptyLine         Reason = "empty-line-before-request"
	ReasonRequestLine       Reason = "request-line"
	ReasonLineTooLong       Reason = "line-too-long"
	ReasonTarget            Reason = "target"
	ReasonVersion           Reason = "version"
	ReasonStatusLine        Reason = "status-line"
	ReasonInterim           Reason = "interim-response"
	ReasonConnect           Reason = "connect"
	ReasonUpgrade           Reason = "upgrade"
	ReasonBareCR            Reason = "bare-cr"
	ReasonBareLF            Reason = "bare-lf"
	ReasonFold              Reason = "obs-fold"
	ReasonNoColon           Reason = "no-colon"
	ReasonSpaceBeforeColon  Reason = "space-before-colon"
	ReasonFieldName         Reason = "field-name"
	ReasonNUL               Reason = "nul"
	ReasonControl           Reason = "control-character"
	ReasonHeadTooLarge      Reason = "head-too-large"
	ReasonTooManyFields     Reason = "too-many-fields"
	ReasonLengthAndEncoding Reason = "length-and-transfer-encoding"
	ReasonTransferEncoding  Reason = "transfer-encoding"
	ReasonEncodingVersion   Reason = "transfer-encoding-in-1.0"
	ReasonContentLength     Reason = "content-length"
	ReasonRepeatedLength    Reason = "repeated-content-length"
	ReasonHost              Reason = "host"
	ReasonNoHost            Reason = "no-host"
	ReasonRepeatedHost      Reason = "repeated-host"
	ReasonAbsoluteForm      Reason = "absolute-form"
	ReasonConnection        Reason = "connection-option"
	ReasonExpect            Reason = "expect"
	ReasonChunkSize         Reason = "chunk-size"
	ReasonChunkEnd          Reason = "chunk-end"
	ReasonChunkExtension    Reason = "chunk-extension"
	ReasonTrailer           Reason = "trailer"
	ReasonBodyTooLarge      Reason = "body-too-large"
	ReasonCutOff            Reason = "cut-off"
	ReasonHeadTimeout       Reason = "head-timeout"
	ReasonBodyTimeout       Reason = "body-timeout"
)

// Reasons returns the closed list.
func Reasons() []Reason {
	return slices.Clone([]Reason{
		ReasonEmptyLine, ReasonRequestLine, ReasonLineTooLong, ReasonTarget, ReasonVersion, ReasonStatusLine, ReasonInterim,
		ReasonConnect, ReasonUpgrade, ReasonBareCR, ReasonBareLF, ReasonFold, ReasonNoColon, ReasonSpaceBeforeColon,
		ReasonFieldName, ReasonNUL, ReasonControl, ReasonHeadTooLarge, ReasonTooManyFields, ReasonLengthAndEncoding,
		ReasonTransferEncoding, ReasonEncodingVersion, ReasonContentLength, ReasonRepeatedLength, ReasonHost, ReasonNoHost,
		ReasonRepeatedHost, ReasonAbsoluteForm, ReasonConnection, ReasonExpect, ReasonChunkSize, ReasonChunkEnd,
		ReasonChunkExtension, ReasonTrailer, ReasonBodyTooLarge, ReasonCutOff, ReasonHeadTimeout, ReasonBodyTimeout,
	})
}

// Error is a message that was refused: the connection must be closed behind
// the answer. Status is what to answer: 4xx or 505 for a request, 502 for a
// response. Detail is the operator's text and may quote some of what came.
type Error struct {
	Reason Reason
	Status int
	Detail string
}

func (e *Error) Error() string { return string(e.Reason) + ": " + e.Detail }

// statusOf is what a request refused for r is answered.
func statusOf(r Reason) int {
	switch r {
	case ReasonHeadTimeout, ReasonBodyTimeout:
		return 408
	case ReasonBodyTooLarge:
		return 413
	case ReasonLineTooLong:
		return 414
	case ReasonExpect:
		return 417
	case ReasonHeadTooLarge, ReasonTooManyFields:
		return 431
	case ReasonVersion:
		return 505
	}
	return 400
}
