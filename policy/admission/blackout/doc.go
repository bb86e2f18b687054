// Package blackout simulates what an ACS gets when the power of a region comes
// back: a fleet of CPEs that all inform within a minute and retry as TR-069 has
// them, an ACS that slows down and falls over past its rate, and between them
// nothing, a plain token bucket, or the gateway's own admission. Time is virtual
// and everything is drawn from one seed.
package blackout
