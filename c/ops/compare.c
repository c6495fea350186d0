#include "ops/row.h"

const rh_row rh_rows_compare[] = {{0}};
