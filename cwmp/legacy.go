package cwmp

// SetVouchers hands over signed option vouchers (deprecated).
type SetVouchers struct {
	VoucherList []Text
	Extra
}

// Method is MethodSetVouchers.
func (*SetVouchers) Method() Method { return MethodSetVouchers }

func (m *SetVouchers) fields(c *coder) { c.texts("VoucherList", "base64", &m.VoucherList) }

// SetVouchersResponse is empty.
type SetVouchersResponse struct{ response }

// Method is MethodSetVouchers.
func (*SetVouchersResponse) Method() Method { return MethodSetVouchers }

// GetOptions asks for the state of one option, or of all (deprecated).
type GetOptions struct {
	OptionName Text
	Extra
}

// Method is MethodGetOptions.
func (*GetOptions) Method() Method { return MethodGetOptions }

func (m *GetOptions) fields(c *coder) { c.text("OptionName", &m.OptionName) }

// Option is an OptionStruct.
type Option struct {
	OptionName                Text
	VoucherSN                 Text
	State, Mode               Text
	StartDate, ExpirationDate Text
	IsTransferable            Text
	Extra
}

func (o *Option) fields(c *coder) {
	c.text("OptionName", &o.OptionName)
	c.text("VoucherSN", &o.VoucherSN)
	c.text("State", &o.State)
	c.text("Mode", &o.Mode)
	c.text("StartDate", &o.StartDate)
	c.text("ExpirationDate", &o.ExpirationDate)
	c.text("IsTransferable", &o.IsTransferable)
}

// GetOptionsResponse lists options.
type GetOptionsResponse struct {
	OptionList []Option
	response
}

// Method is MethodGetOptions.
func (*GetOptionsResponse) Method() Method { return MethodGetOptions }

func (m *GetOptionsResponse) fields(c *coder) { list(c, "OptionList", "OptionStruct", &m.OptionList) }
