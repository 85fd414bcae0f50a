import { drivers } from '../../drivers/index.ts';
import { transportPowers } from '../transport-powers.contract.ts';

for (const driver of drivers) transportPowers(driver);
