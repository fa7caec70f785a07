// One AXI4 burst at a time, on the order of four registers, with faults on demand.
// 0x00 start (write) and busy (read), bits as in the parameters below; 0x04 address;
// 0x08 beats; 0x0C first data (write) and sum of the data read (read); 0x10 worst response.
module burst_master (
    input clk, input rst,
    input [11:0] s_axi_awaddr, input [2:0] s_axi_awprot, input s_axi_awvalid,
    output s_axi_awready,
    input [31:0] s_axi_wdata, input [3:0] s_axi_wstrb, input s_axi_wvalid, output s_axi_wready,
    output [1:0] s_axi_bresp, output reg s_axi_bvalid, input s_axi_bready,
    input [11:0] s_axi_araddr, input [2:0] s_axi_arprot, input s_axi_arvalid,
    output s_axi_arready,
    output reg [31:0] s_axi_rdata, output [1:0] s_axi_rresp, output reg s_axi_rvalid,
    input s_axi_rready,
    output m_axi_awid, output [39:0] m_axi_awaddr, output [7:0] m_axi_awlen,
    output [2:0] m_axi_awsize, output [1:0] m_axi_awburst, output [3:0] m_axi_awcache,
    output [2:0] m_axi_awprot, output m_axi_awvalid, input m_axi_awready,
    output [63:0] m_axi_wdata, output [7:0] m_axi_wstrb, output m_axi_wlast,
    output m_axi_wvalid, input m_axi_wready,
    input m_axi_bid, input [1:0] m_axi_bresp, input m_axi_bvalid, output m_axi_bready,
    output m_axi_arid, output [39:0] m_axi_araddr, output [7:0] m_axi_arlen,
    output [2:0] m_axi_arsize, output [1:0] m_axi_arburst, output [3:0] m_axi_arcache,
    output [2:0] m_axi_arprot, output m_axi_arvalid, input m_axi_arready,
    input m_axi_rid, input [63:0] m_axi_rdata, input [1:0] m_axi_rresp, input m_axi_rlast,
    input m_axi_rvalid, output m_axi_rready,
    output reg interrupt,
    output trace_load_accepted, output [15:0] trace_load_index, output trace_load_done,
    output trace_array_accepted, output [15:0] trace_array_index, output trace_array_done,
    output trace_vector_accepted, output [15:0] trace_vector_index, output trace_vector_done,
    output trace_store_accepted, output [15:0] trace_store_index, output trace_store_done,
    output trace_butterfly_accepted, output [15:0] trace_butterfly_index,
    output trace_butterfly_done
);
    localparam WRITE = 0, DROP = 1, CHANGE = 2, EARLY_LAST = 3, NARROW = 4, FIXED = 5, SILENT = 6;

    reg [6:0] mode;
    reg [39:0] address;
    reg [8:0] beats, sent, received;
    reg [31:0] data, sum;
    reg [1:0] worst;
    reg busy, wants_address, waits;

    assign s_axi_awready = s_axi_awvalid & s_axi_wvalid & ~s_axi_bvalid & ~mode[SILENT];
    assign s_axi_wready = s_axi_awready;
    assign s_axi_bresp = 0;
    assign s_axi_arready = ~s_axi_rvalid;
    assign s_axi_rresp = 0;

    // After a cycle of waiting, DROP takes valid back and CHANGE moves the address.
    wire address_valid = wants_address & ~(mode[DROP] & waits);
    wire [39:0] shown = mode[CHANGE] & waits ? address + 8 : address;
    wire [2:0] size = mode[NARROW] ? 2 : 3;
    wire [1:0] burst = mode[FIXED] ? 0 : 1;
    wire [7:0] length = beats[7:0] - 1;

    assign {m_axi_awid, m_axi_arid} = 2'b10;
    assign {m_axi_awcache, m_axi_awprot, m_axi_arcache, m_axi_arprot} = 0;
    assign m_axi_awaddr = shown;
    assign m_axi_araddr = shown;
    assign m_axi_awlen = length;
    assign m_axi_arlen = length;
    assign m_axi_awsize = size;
    assign m_axi_arsize = size;
    assign m_axi_awburst = burst;
    assign m_axi_arburst = burst;
    assign m_axi_awvalid = address_valid & mode[WRITE];
    assign m_axi_arvalid = address_valid & ~mode[WRITE];
    assign m_axi_wvalid = busy & mode[WRITE] & sent != beats;
    assign m_axi_wdata = {23'b0, sent, data + {23'b0, sent}};
    assign m_axi_wstrb = sent == 1 ? 8'h0F : 8'hFF;
    assign m_axi_wlast = mode[EARLY_LAST] ? sent == 0 : sent + 1 == beats;
    assign m_axi_bready = 1;
    assign m_axi_rready = 1;

    // As if unit 0 took instruction `beats`, and unit 3 too.
    wire starts = s_axi_awready & s_axi_awaddr == 0;
    wire ends = m_axi_bvalid | (m_axi_rvalid & m_axi_rlast);
    assign {trace_load_accepted, trace_store_accepted} = {2{starts}};
    assign {trace_load_index, trace_store_index} = {2{7'b0, beats}};
    assign {trace_load_done, trace_store_done} = {2{ends}};
    assign {trace_array_accepted, trace_array_index, trace_array_done} = 0;
    assign {trace_vector_accepted, trace_vector_index, trace_vector_done} = 0;
    assign {trace_butterfly_accepted, trace_butterfly_index, trace_butterfly_done} = 0;

    always @(posedge clk) begin
        if (s_axi_awready) begin
            s_axi_bvalid <= 1;
            case (s_axi_awaddr)
                12'h000: begin
                    mode <= s_axi_wdata[6:0];
                    {busy, wants_address} <= 2'b11;
                    {sent, received, sum, worst} <= 0;
                    interrupt <= 0;
                end
                12'h004: address <= s_axi_wdata;
                12'h008: beats <= s_axi_wdata[8:0];
                12'h00C: data <= s_axi_wdata;
                default: ;
            endcase
        end
        if (s_axi_bvalid & s_axi_bready) s_axi_bvalid <= 0;
        if (s_axi_arvalid & s_axi_arready) begin
            s_axi_rvalid <= 1;
            case (s_axi_araddr)
                12'h000: s_axi_rdata <= {31'b0, busy};
                12'h00C: s_axi_rdata <= sum;
                12'h010: s_axi_rdata <= {30'b0, worst};
                default: s_axi_rdata <= 0;
            endcase
        end
        if (s_axi_rvalid & s_axi_rready) s_axi_rvalid <= 0;

        waits <= wants_address & ~waits;
        if (address_valid & (mode[WRITE] ? m_axi_awready : m_axi_arready)) begin
            wants_address <= 0;
            waits <= 0;
        end
        if (m_axi_wvalid & m_axi_wready) sent <= sent + 1;
        if (m_axi_rvalid & m_axi_rready) begin
            sum <= sum + m_axi_rdata[31:0];
            received <= received + 1;
            if (m_axi_rresp > worst) worst <= m_axi_rresp;
            if (m_axi_rlast != (received + 1 == beats) | m_axi_rid) sum <= 32'hBAD;
        end
        if (m_axi_bvalid) worst <= m_axi_bid ? m_axi_bresp : 1;
        if (ends) {busy, interrupt} <= 2'b01;
        if (rst) begin
            {busy, wants_address, waits, interrupt, s_axi_bvalid, s_axi_rvalid, mode} <= 0;
        end
    end
endmodule
