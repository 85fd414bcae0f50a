import { sseDriver } from '../../drivers/http.ts';
import { transportContract } from '../transport.contract.ts';

transportContract({ driver: sseDriver });
