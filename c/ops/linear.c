#include "ops/row.h"

const rh_row rh_rows_linear[] = {{0}};
