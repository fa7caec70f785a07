/*
 * The model over the serial line: a request is the numbers of an input, row by row; the answer is
 * a byte of `enum ageha_status` and, after AGEHA_STATUS_OK, the numbers of the output; little endian.
 * A status is sent at the start too, once the program is loaded.
 */
#include "ageha_driver.h"
#include "csr.h"
#include "model.h"

#define UART_EVENT_RECEIVED 2u

enum ageha_status model_load(void);
enum ageha_status model_run(MODEL_INPUT_TYPE input[MODEL_INPUT_ROWS][MODEL_INPUT_COLUMNS],
                            MODEL_OUTPUT_TYPE output[MODEL_OUTPUT_ROWS][MODEL_OUTPUT_COLUMNS],
                            struct ageha_error *error);

static volatile uint32_t *csr(uintptr_t address)
{
    return (volatile uint32_t *)address;
}

static uint8_t receive(void)
{
    while (*csr(CSR_UART_RXEMPTY_ADDR))
        ;
    uint8_t byte = (uint8_t)*csr(CSR_UART_RXTX_ADDR);
    *csr(CSR_UART_EV_PENDING_ADDR) = UART_EVENT_RECEIVED;
    return byte;
}

static void send(uint8_t byte)
{
    while (*csr(CSR_UART_TXFULL_ADDR))
        ;
    *csr(CSR_UART_RXTX_ADDR) = byte;
}

int main(void)
{
    static MODEL_INPUT_TYPE input[MODEL_INPUT_ROWS][MODEL_INPUT_COLUMNS];
    static MODEL_OUTPUT_TYPE output[MODEL_OUTPUT_ROWS][MODEL_OUTPUT_COLUMNS];
    struct ageha_error error;

    send((uint8_t)model_load());
    for (;;) {
        for (size_t place = 0; place < sizeof input; ++place)
            ((uint8_t *)input)[place] = receive();
        enum ageha_status status = model_run(input, output, &error);
        send((uint8_t)status);
        for (size_t place = 0; status == AGEHA_STATUS_OK && place < sizeof output; ++place)
            send(((const uint8_t *)output)[place]);
    }
}
